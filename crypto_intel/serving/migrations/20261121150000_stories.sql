-- Articles name their story, and what their source says of its mood.

ALTER TABLE public.articles ADD COLUMN IF NOT EXISTS cluster_id text;
ALTER TABLE public.articles ADD COLUMN IF NOT EXISTS sentiment double precision CHECK (sentiment BETWEEN -1 AND 1);

COMMENT ON COLUMN public.articles.cluster_id IS 'Id of the story''s first article: near-duplicates share it.';
COMMENT ON COLUMN public.articles.sentiment IS '-1..1, where the source tells one.';
COMMENT ON COLUMN public.bar_news.sentiment IS '-1..1; null where the source tells none.';
