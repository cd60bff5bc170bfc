"""What things are: jobs, people, money, limits, parameters, errors.

Standard library only; imports nothing else of ours.
"""
