"""What is optimised: the loss terms, and the methods that are sums of them."""
