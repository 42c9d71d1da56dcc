"""From files on disk to the float views a method sees."""
