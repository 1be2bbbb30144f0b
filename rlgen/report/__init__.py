"""What a person looks at: curves, comparisons, pictures, the console. Imports no torch."""
