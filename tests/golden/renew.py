"""`python -m tests.golden.renew` writes the golden flows anew. Read the difference before committing it."""

from tests.golden.scene import HERE, golden_texts


def main() -> None:
    """Write every file, and delete those of switches that are gone."""
    texts = golden_texts()
    for path in HERE.glob("*.flows"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
