"""The Gradio demo, and its deployment as a Space."""
