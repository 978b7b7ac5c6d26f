"""Tables that PostgreSQL or Supabase serves."""
