from small_pack import pack_directory, small_decoder
