"""Define and read the options that choose and change a scenario, and hide the secrets among them."""
