"""Workers that train one model together: who they are, and their meeting. Imports neither TensorFlow nor anything."""
