"""An object's entry in the account's Flex configuration."""
