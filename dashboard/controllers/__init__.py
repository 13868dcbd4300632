"""What happens when news come or the user does something: models change, and views are told."""
