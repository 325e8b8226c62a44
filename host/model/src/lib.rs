//! What Weir moves, and how: shapes, batches, layouts, and the writers compiled from them. No I/O.
