"""A digit classifier trained from nothing in under a minute: `flambeau demo`. It uses the public interface only."""
