"""A small CLAP of the real classes with random weights."""

TEXT = {
    "vocab_size": 100, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 80, "initializer_factor": 8.0,  # so that words tell in the embedding
}  # fmt: skip
AUDIO = {
    "patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1], "num_attention_heads": [1, 2],
    "num_hidden_layers": 2, "window_size": 8, "spec_size": 128, "num_mel_bins": 64, "initializer_factor": 4.0,
}  # fmt: skip
HEARING = {
    "sampling_rate": 16_000, "hop_length": 160, "fft_window_size": 512, "max_length_s": 2, "frequency_min": 50,
    "frequency_max": 7000, "truncation": "rand_trunc",
}  # fmt: skip


def small_clap(seed=0, **audio):
    """A `ClapModel` of 0.6 M parameters, nearly all of them in the projections to 512 numbers."""
    import torch
    from transformers import ClapConfig, ClapModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ClapModel(ClapConfig(text_config=dict(TEXT), audio_config={**AUDIO, **audio})).eval()


def small_extractor(**options):
    from transformers import ClapFeatureExtractor

    return ClapFeatureExtractor(**{**HEARING, **options})


def small_tokenizer():
    """RoBERTa's tokenizer that knows single characters only."""
    from transformers import RobertaTokenizer

    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *(chr(code) for code in range(33, 127)), "Ġ"]
    return RobertaTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
