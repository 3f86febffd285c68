"""The HTTP server of `rnncli serve`; imports no TensorFlow, and only its `app` and `server` the extra's packages."""
