"""The page of `rnncli explore`, on which one sees a model read and write, and what it asks its server for."""
