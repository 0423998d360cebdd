"""The platform as plain processes of one machine."""
