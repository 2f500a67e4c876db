from small_library import library_dir, prototypes
