"""A module traced into a graph, and its parts evaluated as seldom as they have to be."""
