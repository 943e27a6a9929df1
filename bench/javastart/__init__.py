"""What `bench start` is made of: archives made by hand, contestants, and the race between them."""
