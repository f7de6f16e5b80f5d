"""An inline antivirus. In: TCP streams and YARA rules. Out: streams without a known signature, and counters."""
