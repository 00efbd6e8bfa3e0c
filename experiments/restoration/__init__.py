"""What `super_resolve.py` is made of: flags, photos, hosts, plan, work, records, pictures."""
