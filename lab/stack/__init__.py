"""`make up`: the services, what they are seeded with, and the endpoints that come with them."""
