from planted_world import shuffled_world, small, world
