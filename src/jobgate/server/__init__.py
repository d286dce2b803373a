"""The front: requests. It never calls the back; they meet in the store."""
