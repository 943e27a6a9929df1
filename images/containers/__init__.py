"""Container images of our own programs, made without an engine and without a registry (`build`)."""
