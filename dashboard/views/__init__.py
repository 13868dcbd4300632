"""What the dashboard paints: Qt and pyqtgraph, and nothing that is worked out."""
