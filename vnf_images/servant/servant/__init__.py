"""The emergency service. In: HTTP requests that cost CPU. Out: answers that name the servant, and metrics of its load."""
