"""One Plotly figure per file, all in one style."""
