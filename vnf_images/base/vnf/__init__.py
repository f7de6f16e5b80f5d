"""The runtime that functions and servants share: logs, plumbing, management. It knows nothing of any one function."""
