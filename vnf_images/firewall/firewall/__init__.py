"""An inline firewall. In: a rules file and two ports. Out: the frames that the rules let through, and counters."""
