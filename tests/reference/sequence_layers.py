"""Layers of nnc's sequential language that Keras calls with more than one tensor, or that it has in another package.

Needs: keras. Leaves: LAYERS, by their names in nnc.
"""
import keras


class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """Self-attention: the input is query, key and value; use_causal_mask is an argument of the layer."""

    def __init__(self, *arguments, use_causal_mask=False, **named):
        super().__init__(*arguments, **named)
        self.use_causal_mask = use_causal_mask

    def __call__(self, x, *others, **named):
        if not others:  # else Keras runs the model that was built so
            others, named = (x,), {"use_causal_mask": self.use_causal_mask}
        return super().__call__(x, *others, **named)


class PositionEmbedding(keras.layers.Layer):
    """keras_hub's layer, added to its input."""

    def __init__(self, sequence_length, initializer="glorot_uniform", **named):
        super().__init__(**named)
        self.sequence_length, self.initializer, self.supports_masking = sequence_length, keras.initializers.get(initializer), True

    def build(self, shape):
        self.embeddings = self.add_weight(name="embeddings", shape=(self.sequence_length, shape[-1]), initializer=self.initializer)

    def call(self, x):
        return x + self.embeddings[:x.shape[1]]


LAYERS = {"MultiHeadAttention": MultiHeadAttention, "PositionEmbedding": PositionEmbedding}
