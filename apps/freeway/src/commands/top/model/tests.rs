//! What messages make of the model.
