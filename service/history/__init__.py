"""A site's history: comments and what became of them, in from other systems and out again.

Knows files of other systems. What is written goes through the store; nothing is judged here.
"""
