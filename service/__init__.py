"""The outside of the domain: HTTP, the database, the moderators' pages. Never trains."""
