"""What people look at: overview pictures and figures."""
