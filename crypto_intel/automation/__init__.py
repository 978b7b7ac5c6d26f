"""What runs by itself, and together: jobs, sensors, schedules. Glue around pure functions, each with a cursor."""
