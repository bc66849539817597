"""A model without any vendor: a speech recogniser whose weights a package ships, and rules that answer, behind the Realtime protocol."""
