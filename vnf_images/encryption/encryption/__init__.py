"""One end of an encrypted stretch. In: IP packets on one port, ESP on the other, a key file. Out: each as the other, and counters."""
