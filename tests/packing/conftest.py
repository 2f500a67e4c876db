from band_embedder import embedder
from planted_world import small, world
from small_pack import pack_directory, small_decoder
