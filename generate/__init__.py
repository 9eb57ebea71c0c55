"""The build-time generator: reads rows/, writes C++. Imports nothing but the standard library and rows."""
