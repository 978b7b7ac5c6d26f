"""What the platform serves to people and programs: the database's migrations, later queries, API and dashboard."""
