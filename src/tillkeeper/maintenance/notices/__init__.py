"""Notices: what customers and merchants are told of maintenance, before, during and after."""
