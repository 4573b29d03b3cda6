"""Messages: sent through the API, received from simulated contacts, and what becomes of them on either side."""
