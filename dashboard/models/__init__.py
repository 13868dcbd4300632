"""What the dashboard knows, without Qt: state that grows with the news, and what is drawn of it."""
