"""Running embedding models: their weights, onnxruntime and torch, batches that fit."""
