"""`kubectl warmroot`: what the operator does, asked and told in a terminal, with the caller's rights."""
