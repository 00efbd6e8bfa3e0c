"""What `super_resolve.py` is made of: photos as people have them, hosts, pictures."""
