"""One scenario in two worlds: measured on the lab, and predicted by the simulator for the same arrivals; then held side by side."""
