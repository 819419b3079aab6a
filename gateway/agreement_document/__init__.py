"""The agreement as people read it: its text, and what a new version changes.

Terms ──text, annexes──▶ parts ──page──▶ Markdown | one HTML page
two versions ──matrix──▶ what each permits ──difference, changes──▶ sentences
words                    one vocabulary for the text, a difference, and the faults of a draft
"""
