"""Best-of-N sampling with reward models: what their picks are worth to judges."""
